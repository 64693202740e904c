"""Page one as strings and numbers: the verdict, the business, the findings, what changed, what people must decide."""
