"""Files that come from elsewhere when somebody asks for them, and stay for a while."""
