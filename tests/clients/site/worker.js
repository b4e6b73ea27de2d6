self.mark = 'in a worker';
