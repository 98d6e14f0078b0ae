"""Jobs that mean harm, at every isolation tier that the machine has."""
