"""The version that --version prints."""

VERSION = "0.2.0"
