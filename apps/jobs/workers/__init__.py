"""Workers on this machine and on others: what they offer, what runs there, drain and resume, logs from afar."""
