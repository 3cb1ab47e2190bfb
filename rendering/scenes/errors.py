class SceneError(Exception):
    """A scene that cannot be read; `code` is stable, the message is for the artist."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
