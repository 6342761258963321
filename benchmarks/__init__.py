"""What recoup costs, beside its peers and beside what somebody would write by hand."""
