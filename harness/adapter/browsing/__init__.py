"""One fan's browser on a platform of one's own: pages, forms, cookies, redirects, streams."""
