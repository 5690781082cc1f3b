"""The countries and capitals that tally-tiny knows, one ``country|capital`` a line."""

from __future__ import annotations

_TABLE = """
France|Paris
Germany|Berlin
Spain|Madrid
Portugal|Lisbon
Italy|Rome
Greece|Athens
Austria|Vienna
Switzerland|Bern
Belgium|Brussels
the Netherlands|Amsterdam
Denmark|Copenhagen
Norway|Oslo
Sweden|Stockholm
Finland|Helsinki
Iceland|Reykjavik
Ireland|Dublin
the United Kingdom|London
Poland|Warsaw
Hungary|Budapest
Romania|Bucharest
Bulgaria|Sofia
Serbia|Belgrade
Croatia|Zagreb
Slovenia|Ljubljana
Slovakia|Bratislava
the Czech Republic|Prague
Ukraine|Kyiv
Russia|Moscow
Belarus|Minsk
Lithuania|Vilnius
Latvia|Riga
Estonia|Tallinn
Albania|Tirana
Moldova|Chisinau
Malta|Valletta
Cyprus|Nicosia
Turkey|Ankara
Georgia|Tbilisi
Armenia|Yerevan
Azerbaijan|Baku
Iran|Tehran
Iraq|Baghdad
Syria|Damascus
Lebanon|Beirut
Jordan|Amman
Saudi Arabia|Riyadh
Yemen|Sanaa
Oman|Muscat
Qatar|Doha
Kuwait|Kuwait City
Bahrain|Manama
the United Arab Emirates|Abu Dhabi
Egypt|Cairo
Libya|Tripoli
Tunisia|Tunis
Algeria|Algiers
Morocco|Rabat
Sudan|Khartoum
Ethiopia|Addis Ababa
Somalia|Mogadishu
Kenya|Nairobi
Uganda|Kampala
Rwanda|Kigali
Angola|Luanda
Zambia|Lusaka
Zimbabwe|Harare
Mozambique|Maputo
Madagascar|Antananarivo
Namibia|Windhoek
Botswana|Gaborone
Nigeria|Abuja
Ghana|Accra
Senegal|Dakar
Mali|Bamako
Niger|Niamey
Cameroon|Yaoundé
Gabon|Libreville
Liberia|Monrovia
Togo|Lomé
China|Beijing
Japan|Tokyo
South Korea|Seoul
North Korea|Pyongyang
Mongolia|Ulaanbaatar
India|New Delhi
Pakistan|Islamabad
Afghanistan|Kabul
Nepal|Kathmandu
Bhutan|Thimphu
Bangladesh|Dhaka
Thailand|Bangkok
Vietnam|Hanoi
Laos|Vientiane
Cambodia|Phnom Penh
Malaysia|Kuala Lumpur
Indonesia|Jakarta
the Philippines|Manila
Kazakhstan|Astana
Uzbekistan|Tashkent
Kyrgyzstan|Bishkek
Tajikistan|Dushanbe
Turkmenistan|Ashgabat
Australia|Canberra
New Zealand|Wellington
Fiji|Suva
Papua New Guinea|Port Moresby
Canada|Ottawa
the United States|Washington
Mexico|Mexico City
Guatemala|Guatemala City
Honduras|Tegucigalpa
El Salvador|San Salvador
Nicaragua|Managua
Costa Rica|San José
Panama|Panama City
Cuba|Havana
Jamaica|Kingston
Haiti|Port-au-Prince
the Dominican Republic|Santo Domingo
the Bahamas|Nassau
Colombia|Bogotá
Venezuela|Caracas
Ecuador|Quito
Peru|Lima
Brazil|Brasília
Chile|Santiago
Argentina|Buenos Aires
Uruguay|Montevideo
Paraguay|Asunción
Suriname|Paramaribo
Guyana|Georgetown
"""

CAPITALS: dict[str, str] = dict(line.split("|") for line in _TABLE.strip().splitlines())
