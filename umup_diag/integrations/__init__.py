"""Ways into training code that others wrote: callbacks for their trainers, sinks for trackers.

Each module imports the package that it is named after, and nothing else imports these modules.
"""
