"""Tests are quiet: formatting a debug line costs more than the reconcile that it is about."""

import logging

import structlog


def pytest_configure():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
