"""The buyers' journey: the funnel, stories of single fans, waterfalls and hops of their requests."""
