"""What one request is: its columns, usage, money and metadata; shared by both roads."""
