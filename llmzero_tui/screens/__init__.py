"""The screens, one file each: the list of runs, one run, SQL, help, and the dialogs over them."""
