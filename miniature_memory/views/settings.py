"""Every table of settings and the dataclass that holds its defaults."""

from __future__ import annotations

from miniature_memory.cleaning.config import CleanConfig
from miniature_memory.crawl.config import ScrapeConfig, SearchConfig, WebConfig
from miniature_memory.extraction.config import ExtractConfig
from miniature_memory.sampling.config import SampleConfig
from miniature_memory.training.config import PrepareConfig, TrainConfig
from miniature_memory.validation.config import ValidateConfig

CONFIGS: dict[str, type] = {"web": WebConfig, "search": SearchConfig, "scrape": ScrapeConfig, "extract": ExtractConfig,
                            "validate": ValidateConfig, "clean": CleanConfig, "prepare": PrepareConfig,
                            "train": TrainConfig, "sample": SampleConfig}
