"""The forms in which the program is handed out, a module for each."""
