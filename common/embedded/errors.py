"""What can go wrong with the embedded services."""


class EmbeddedError(Exception):
    """The embedded services cannot run; the text tells a person why and what to do."""
