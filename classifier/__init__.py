"""A fitted model in use: model folder, sentences in, predictions out, files and corpora. Never imports torch."""
