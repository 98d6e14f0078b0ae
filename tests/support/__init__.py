"""What several test areas share: a running studio, a browser, ways to look at processes."""
