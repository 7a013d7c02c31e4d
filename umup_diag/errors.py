"""The one exception that a user is meant to read."""


class InputError(Exception):
    """Bad input or bad usage: one or two lines saying what is wrong, where, and what to do.

    The command line prints the message alone and exits with 2; a library user catches it like any
    other exception.
    """
