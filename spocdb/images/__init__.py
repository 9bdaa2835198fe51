"""Where images come from, and how their bytes become RGB, safely."""
