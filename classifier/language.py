"""Whether a text is in the language that the model reads."""

import unicodedata
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from annotations.errors import InputError

FEWEST_LETTERS = 200  # shorter texts mislead every language identifier; names and datelines weigh too much
SAMPLE = 5_000  # characters looked at
SURE = 0.99


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def require_english(text: str, place: str) -> None:
    """Raise InputError, naming `place`, when `text` is plainly not English; short texts pass."""
    sample = text[:SAMPLE]
    letters = [character for character in sample if character.isalpha()]
    if len(letters) < FEWEST_LETTERS:
        return
    latin = sum(unicodedata.name(character, "").startswith("LATIN") for character in letters)
    if latin >= len(letters) / 2:
        language, probability = _identifier().classify(sample)
        if language == "en" or probability < SURE:
            return
    raise InputError(f"{place}: the text does not seem to be English.", "The model reads English; translate the text first.")
