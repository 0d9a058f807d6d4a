"""Baselines fitted on the same rows: what a model must beat to be worth its electricity."""

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

Matrix = NDArray[np.float64]


def majority(goal: Matrix, size: int, choose: str) -> NDArray[np.bool_]:
    """The most frequent answer of the training rows, for `size` rows: shape (size, labels)."""
    chosen = np.zeros((size, goal.shape[1]), dtype=np.bool_)
    if choose == "one":
        chosen[:, goal.sum(axis=0).argmax()] = True
    else:
        chosen[:] = goal.mean(axis=0) > 0.5
    return chosen


def tf_idf(texts: list[str], goal: Matrix, asked: list[str], choose: str) -> NDArray[np.bool_]:
    """TF-IDF of words and pairs of words with balanced logistic regression; choices for `asked`, shape (asked, labels).

    `texts` and `goal` are the training rows. Where one label is chosen a target belongs into the text.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 200 else 1, sublinear_tf=True)
    known, unknown = vectorizer.fit_transform(texts), vectorizer.transform(asked)
    chosen = np.zeros((len(asked), goal.shape[1]), dtype=np.bool_)
    if choose == "one":
        held = goal.argmax(axis=1)
        if len(np.unique(held)) == 1:
            return majority(goal, len(asked), choose)
        answer = LogisticRegression(class_weight="balanced", max_iter=1000).fit(known, held).predict(unknown)
        chosen[np.arange(len(asked)), answer] = True
        return chosen
    for column in range(goal.shape[1]):
        held = goal[:, column] > 0.5
        if len(np.unique(held)) == 2:
            chosen[:, column] = LogisticRegression(class_weight="balanced", max_iter=1000).fit(known, held).predict(unknown)
    return chosen
