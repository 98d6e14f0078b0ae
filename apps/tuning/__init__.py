"""Tuning: studies of many trials over one algorithm; rows are the truth, the search engine a pure function of them."""
