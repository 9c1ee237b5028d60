"""The look: style sheets (*.tcss) and the two themes. Read by the app at start; nothing here knows a screen."""
