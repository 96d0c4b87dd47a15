source (status dirname)/metaloop.fish
