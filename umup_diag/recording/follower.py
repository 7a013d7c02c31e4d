"""Reading a recording that is still being written."""

from pathlib import Path

from umup_diag.errors import InputError
from umup_diag.recording.frame import Frame
from umup_diag.recording.recording import Recording


class Follower:
    """Reads what is new in the file of a recording, each time it is asked.

    Attributes:
        command: that makes it; empty before its first line is there.
        has_restarted: whether the last read began anew, because the file was cut or replaced.
    """

    def __init__(self, path: Path) -> None:
        """Begin at the first frame.

        Args:
            path: of the file.
        """
        self.command, self.has_restarted = "", False
        self._path, self._file, self._read = path, -1, 0

    def read(self) -> list[Frame]:
        """The frames that have come since; those of one append come together.

        Raises:
            InputError: if the file is gone, or no recording.
        """
        try:
            now = self._path.stat()
            self.has_restarted = self._read > 0 and (
                now.st_size < self._read or now.st_ino != self._file
            )
            if self.has_restarted:
                self._read = 0
            self._file = now.st_ino
            if now.st_size == self._read:
                return []
            with self._path.open("rb") as file:
                header = file.readline()
                file.seek(max(self._read, len(header)))
                new = file.read()
        except OSError as error:
            raise InputError(f"there is no recording {self._path}: {error.strerror}.") from None
        if not header.endswith(b"\n"):
            return []
        text = header + new[: new.rfind(b"\n") + 1]
        recording, whole = Recording.parse(self._path, text.decode(errors="replace"))
        self._read = max(self._read, len(header)) + whole - len(header)
        self.command = recording.command
        return recording.frames
