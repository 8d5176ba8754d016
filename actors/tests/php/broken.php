<?php
throw new LogicException('no database');
