"""python3 -m pytest tests/cleaning/test_notices.py"""

import pytest

from miniature_memory.cleaning.boilerplate import remove_boilerplate
from miniature_memory.cleaning.notices import is_filler, is_notice


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
    ("We and our advertising partners store and read data on your device.", "policy"),
    ("We set strictly-necessary cookies for this site. With your permission, we use analytics cookies.", "policy"),
    ("I agree to the use of cookies", "policy"), ("Please accept all cookies to continue.", "policy"),
    ("Home | Contact | Help | Privacy Policy", "policy"), ("Copyright © Harbour Press", "policy"),
    ("Your email address will not be published. Required fields are marked *", "policy"),
    ("We have recently updated our privacy policy.", "policy"), ("Share on Reddit", "call"),
    ("It seems that you are using an unsupported browser.", "policy"),
    ("JavaScript not detected. JavaScript required for this page.", "javascript"),
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
    "100 m", "2.75 k", "6!", "Log in.", "Sign up.", "We and our partners danced.",
    "Copyright in a letter is its writer's.",
    "An old browser is still in use at the harbour.", "I agree to cookies and tea at four.",
    "2 cups of flour", "    12", "HAMLET", "Cookies", "Privacy", "Help", "/login", "5 points for a goal", "…", "",
    "The law says " + "what a privacy policy is and " * 9,
])
def test_lines_about_such_things_and_lines_of_numbers_stay(line: str) -> None:
    assert is_notice(line) == ""


@pytest.mark.parametrize("text", [
    "So the sum of the two is:\n\n12", "The tides of the week came at these hours:\n\n7\n19\n\nThey were high.",
    ">>> 6 * 7\n42", "$ wc -l log\n1024", "print(ships)\n3", "x = 4\n12", "Oxygen\n15.999\nSulphur\n32.06",
    "2019 | 2020\n14 | 17"])
def test_a_number_is_text_where_it_is_announced_named_or_in_code(text: str) -> None:
    assert remove_boilerplate(text) == (text, [])


@pytest.mark.parametrize(("text", "left"), [
    ("Page:\n\n2", "Page:"), ("The ship sails.\n\n12\n\nIt came back.", "The ship sails.\n\nIt came back."),
    ("Likes\n12\nShares\n4", "Likes\nShares"), ("Harbour\n12\n\nHarbour", "Harbour\n\nHarbour"),
    ("1\n2\n3", "")])
def test_a_counter_or_the_number_of_a_page_goes(text: str, left: str) -> None:
    assert remove_boilerplate(text)[0] == left


def test_lines_of_filler_go_and_what_is_said_of_them_stays() -> None:
    filler = ["Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "Ut enim ad minim veniam, quis nostrud.",
              "Duis aute irure dolor in reprehenderit. " * 20]
    about = ["Lorem ipsum is what printers set where a text is missing.", "“Lorem ipsum dolor sit amet” it began.",
             "Lorem ipsum", "In a sea of dolor he sang."]
    assert all(map(is_filler, filler))
    assert not any(map(is_filler, about))
    assert remove_boilerplate("\n\n".join([filler[0], *about]))[0] == "\n\n".join(about)
