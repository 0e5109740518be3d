"""What tools/make_site.py needs: pages, examples, comments of headers, and the check of links."""
