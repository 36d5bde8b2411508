"""Answering an API server's questions: admission and conversion, and the certificates for it.

The functions that decide are plain: a request in, an answer out. The server around them speaks the
protocol, counts, and keeps time. May not come in: rules about any kind.
"""
