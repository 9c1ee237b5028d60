"""The panels of the screens, one file each. They draw what they are given and read nothing themselves."""
