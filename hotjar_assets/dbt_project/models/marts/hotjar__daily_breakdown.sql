{{ breakdown({
    'responded_on': 'responded_on',
    'page': "coalesce(page, 'unknown')",
    'device': "coalesce(device, 'unknown')",
}) }}
