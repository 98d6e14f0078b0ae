"""What a team may use: jobs at once, processor time, storage, and the weakest isolation it accepts."""
