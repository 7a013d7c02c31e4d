"""What a user can set, declared once: options, plan keys, defaults and help come from here.

Nothing here imports torch, what draws, or a command-line library.
"""
