"""The page: what a browser is shown, rendered by Jinja2; its module goes on from there."""
