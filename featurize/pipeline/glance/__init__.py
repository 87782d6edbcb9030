"""What can be seen of clips before there are features or labels: contact sheets, and blank or not."""
