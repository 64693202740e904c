"""What a record takes from elsewhere: metrics, spans of the platform, versions."""
