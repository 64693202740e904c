"""Bad input of every kind that a person or a machine gives to gatecrash, made from good input by seeded mutations."""
