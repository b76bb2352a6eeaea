"""Benchmarks: one script per question, each ending in one JSON line: python -m bench.race --help"""
