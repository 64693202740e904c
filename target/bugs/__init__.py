"""Planted bugs: faulty components that a rehearsal's checkers must catch."""
