"""Settings of earlier versions, and their replacements: the error for an old key names the new one."""

RENAMED_SETTINGS = {
    "run.sample_fallback": "nothing: only run.py without --root, --topic and --quiet falls back to the demonstration",
    "extract.pages_per_worker": "nothing: extract starts a fresh worker process after 1,000 pages",
    "extract.min_chars": "nothing: extract tries read mode when a page gives less than 200 characters",
    "search.enough_urls": "scrape.max_pages",
    "search.enough_per_host": "scrape.max_pages_per_host",
    "search.results_per_query": "nothing: it is always 10",
    "search.give_up_sec": "nothing: it is always 15 seconds",
    "search.provider_sec": "nothing: it is always 10 seconds",
    "search.sitemaps_per_seed": "nothing: it is always 10",
    "search.seed_delay_sec": "nothing: it is always 1 second, or the host's Crawl-delay",
    "web.connect_timeout_sec": "nothing: it is always 5 seconds",
    "web.read_timeout_sec": "nothing: it is always 10 seconds, within web.fetch_deadline_sec",
    "web.max_redirects": "nothing: it is always 5, as RFC 9309 says",
    "scrape.retry_days": "nothing: it is always 1 day, doubled with each further failure",
    "scrape.host_pause_sec": "nothing: it is always 3,600 seconds, doubled each time in a row",
    "prepare.min_val_tokens": "nothing: it is always 512",
    "prepare.tokenizer_bytes": "nothing: it is always 50,000,000",
    "prepare.drift_frac": "nothing: it is always 0.15",
    "train.keep_nights": "train.keep_releases",
    "train.beta1": "nothing: it is always 0.9",
    "train.beta2": "nothing: it is always 0.99",
    "train.eval_windows": "nothing: it is always 64",
    "train.save_minutes": "train.eval_minutes, since each look at the validation loss saves ckpt.pt",
}
MOVED_TO_THRESHOLDS = (
    "min_words", "max_words", "min_mean_word_chars", "max_mean_word_chars", "max_hashes_per_word",
    "max_ellipses_per_word", "max_bullet_lines_frac", "max_ellipsis_lines_frac", "min_letter_words_frac",
    "min_stop_words", "max_duplicate_paragraphs_frac", "max_duplicate_paragraph_chars_frac",
    "max_duplicate_lines_frac", "max_duplicate_line_chars_frac", "min_sentences", "min_punctuated_lines_frac",
    "max_short_lines_frac", "max_repeated_line_chars_frac", "max_newlines_per_word", "max_digits_frac",
    "max_url_chars_frac", "max_whitespace_frac", "min_list_function_words_frac", "max_site_phrases_frac")
RENAMED_SETTINGS |= {f"clean.{name}": f"clean.thresholds.{name}" for name in MOVED_TO_THRESHOLDS}
for name in ("lorem_ipsum", "curly_brackets"):
    RENAMED_SETTINGS[f"clean.refuse_{name}"] = f"clean.thresholds.reject_{name}"
for n in (2, 3, 4):
    RENAMED_SETTINGS[f"clean.max_top_{n}gram_chars_frac"] = "clean.thresholds.max_top_ngram_chars_frac (of pairs)"
for n in range(5, 11):
    RENAMED_SETTINGS[f"clean.max_duplicate_{n}gram_chars_frac"] = (
        "clean.thresholds.max_duplicate_ngram_chars_frac (of 5-grams)")
