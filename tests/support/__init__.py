"""What tests share: patch directories, archives, command lines, real portals."""
