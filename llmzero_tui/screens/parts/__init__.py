"""What main screens are composed of: each part is made by its screen and owns one thing a user does there."""
