"""The two ways in which a command ends badly, each as one line on stderr."""


class StandfastError(Exception):
    """Base of both: `place` says where, `what` says what is wrong and what to do."""

    exit_code = 1

    def __init__(self, place: str, what: str) -> None:
        super().__init__(place, what)
        self.place = place
        self.what = what

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class UserError(StandfastError):
    """Wrong usage or invalid input: nothing was done. Exit code 2."""

    exit_code = 2


class Failure(StandfastError):
    """The input was right, the work did not succeed. Exit code 1."""

    exit_code = 1
