"""What belongs to the user and not to a run: settings, saved queries, clipboard, notifications, where they are kept."""
