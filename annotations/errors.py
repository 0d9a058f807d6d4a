"""The errors that Framewire raises on purpose. Each edge (command, REST, page) turns them into its own form once."""


class FramewireError(Exception):
    """Something that the user can mend.

    `problem` says what failed and where, `remedy` what to try; both are plain sentences without secrets or texts of others.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class CodebookError(FramewireError):
    """A codebook file that cannot be read or that contradicts itself."""


class RowsError(FramewireError):
    """Annotation rows that cannot be learnt from; `problem` has one line per fault, each with file and line."""


class InputError(FramewireError):
    """A text, file or option that cannot be scored."""


class ModelFolderError(FramewireError):
    """A model folder that is missing, damaged, unsafe, or made for another codebook."""


class TrainingError(FramewireError):
    """A training run, comparison or promotion that is refused."""


class StoreError(FramewireError):
    """The corrections database cannot be reached or refused a change."""
