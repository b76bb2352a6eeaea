"""The version, which --version prints and the user agent has."""

VERSION = "0.2.0"
