"""Development only: what a release of aiapi needs."""
