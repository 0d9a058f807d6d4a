"""The service: page and REST API in one process."""
