"""What `mdm doctor` looks at: each check yields what it found, and changes nothing."""
