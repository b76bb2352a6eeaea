"""python3 -m pytest tests/cleaning/test_notices.py"""

import pytest

from miniature_memory.cleaning.notices import is_notice


@pytest.mark.parametrize(("line", "reason"), [
    ("We use cookies to make this site better.", "policy"), ("Please read our Privacy Policy.", "policy"),
    ("Please enable JavaScript to view the comments.", "javascript"), ("3 likes", "counter"), ("1.2k views", "counter"),
    ("12", "number"), ("- 12 -", "number"), ("1,234", "number"), ("(18)", "number"), ("$6.85", "number"),
    ("Read more...", "call"), ("Sign in", "call"), ("Add to cart", "call"), ("Skip to main content", "call"),
    ("JavaScript is disabled in your browser. Turn it on and reload.", "javascript"),
    ("This shop requires JavaScript to function properly.", "javascript"),
    ("You need to enable JavaScript to run this app.", "javascript"),
    ("It looks like JavaScript is disabled. Please turn it on.", "javascript"),
    ("Our website uses cookies.", "policy"), ("By continuing to browse you accept our use of cookies.", "policy"),
    ("Like most websites, we use cookies and similar technologies.", "policy"), ("Cookie settings", "policy"),
    ("Subscribe to our monthly newsletter!", "policy"), ("© 2023 The Mill Ltd.", "policy"),
    ("Copyright 2019 by A. Miller. All rights reserved.", "policy"), ("All rights reserved.", "call"),
    ("Terms of Service · Privacy Policy · Contact", "policy"),
    ("For more information, see our cookie policy.", "policy"),
    ("By signing up, you agree to our Terms and Privacy Policy. Cancel any time.", "policy"),
])
def test_lines_in_which_a_site_speaks_about_itself_are_notices(line: str, reason: str) -> None:
    assert is_notice(line) == reason


@pytest.mark.parametrize("line", [
    "JavaScript closures keep their scope.", "Few engines lack JavaScript generators today.",
    "JavaScript is required reading in the second year.", "To turn on JavaScript in Lynx is not possible.",
    "The recipe needs cookies that are two days old.", "We use cookies of oats for the base of the cake.",
    "In this chapter we use cookies to remember who has logged in.", "“We use cookies to improve your visit,” it said.",
    "A privacy policy says what is stored about a person.", "The terms of use were written by hand.",
    "Her newsletter went to nine hundred readers.", "Copyright lasts for seventy years.", "(c) The third case is odd.",
    "4 - 4 = 0", "7*8=56", "1850 | 212 | 318", "3:1", "12:45", "2021-05-06", "1, 1, 2, 3, 5", "}, 0);", "f = 3", "= 12",
    "2 cups of flour", "    12", "HAMLET", "Cookies", "Privacy", "Help", "/login", "5 points for a goal", "…", "",
    "The law says " + "what a privacy policy is and " * 9,
])
def test_lines_about_such_things_and_lines_of_numbers_stay(line: str) -> None:
    assert is_notice(line) == ""
