"""The master and its workers: starting, arming, releasing, collecting, ending."""
